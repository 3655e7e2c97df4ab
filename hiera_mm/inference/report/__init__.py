"""Reports about trained models, as pages."""

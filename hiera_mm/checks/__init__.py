"""Checks of data and configs, which report each fault in one sentence."""

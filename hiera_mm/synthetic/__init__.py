"""Generated data sets: shapes, classes, masks, motions, actions, volumes."""

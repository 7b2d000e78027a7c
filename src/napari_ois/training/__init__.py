"""Floor 4: training clicks, losses, scenes, data and the trainer. No napari, no Qt."""

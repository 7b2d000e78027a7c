"""Floor 4: many images or planes at once, item by item, on a dask cluster. The items know nothing of dask."""

"""source=hub: parquet files or WebDataset shards of a data set on the Hugging Face hub.

Other packages import:

- places: HubPlaces
"""

"""train.txt and eval.txt: written, read, and used as a PyTorch data set.

Other packages import:

- list_file: Entry, can_hold
- stage: LoadedLists
- torch_dataset: ImageList, load_rgb
"""

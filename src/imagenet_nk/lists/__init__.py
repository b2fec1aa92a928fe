"""train.txt and eval.txt: written, read, and used as a PyTorch data set.

Other packages import:

- list_file: Entry, can_hold
- overlap: find_overlap
- stage: LoadedLists
- torch_dataset: ImageList, load_rgb
- verify: verify
"""

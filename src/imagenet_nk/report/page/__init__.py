"""The page itself: its data, its summary, and its HTML, styles and scripts.

Other packages import:

- data: SelectedImages, as_script, page_data, select_images
- render
- summary: NO_EMBEDDING, unscored
"""

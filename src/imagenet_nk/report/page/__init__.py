"""The page itself: its data, its summary, and the HTML with its styles and scripts.

Other packages import:

- data
- render
- summary: NO_EMBEDDING, unjudged
"""

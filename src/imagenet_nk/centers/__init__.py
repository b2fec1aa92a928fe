"""From a list of images to class centers, and to a verdict on them."""

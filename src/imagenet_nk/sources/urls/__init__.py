"""source=urls: single images at the web addresses of a list."""

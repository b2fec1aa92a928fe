"""source=urls: candidates of a list of addresses, such as fall11_urls.txt."""

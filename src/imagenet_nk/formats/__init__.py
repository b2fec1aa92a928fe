"""File formats by their bytes: magic numbers, gzip streams, tar headers.

Other packages import:

- gzip_stream: DamagedError, inflated
- magic: EXTENSIONS, HEAD, is_page, kind_of, sniff, to_utf8
- tar_headers: BLOCK, Header, padded, parse, whole_name
"""

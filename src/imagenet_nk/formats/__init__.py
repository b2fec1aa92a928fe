"""File formats by their bytes: magic numbers, what an image costs to decode, gzip streams, tar
headers.

Other packages import:

- gzip_stream: DamagedError, gunzip
- hidden: is_hidden
- image_cost: TooCostlyError, check, estimate
- magic: EXTENSIONS, GZIP, HEAD, IMAGE_SUFFIXES, JPEG, PARQUET, is_page, kind_of, sniff
- numbers: ByteRange, MAX, parse_byte_range, parse_content_range, parse_number, parse_row
- pixels: has_codec, open_image, to_8_bit, to_rgb
- tar_headers: BLOCK, Header, padded, parse, full_name
"""

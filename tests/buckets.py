"""A real S3 server on this machine (moto's), for tests that need an object store."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

BUCKET = "pictures"


@contextmanager
def server() -> Iterator[dict[str, str]]:
    """Run it, with one empty bucket; yields the environment that leads a client to it."""
    moto = pytest.importorskip("moto.server", reason="no S3 server: pip install 'moto[s3,server]'")
    boto3 = pytest.importorskip("boto3")
    s3fs = pytest.importorskip("s3fs", reason="no client: pip install 'imagenet-nk[s3]'")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it says every request
    running = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    s3fs.S3FileSystem.clear_instance_cache()  # of a server before this one
    try:
        host, port = running.get_host_and_port()
        address = f"http://{host}:{port}"
        keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
        boto3.client("s3", endpoint_url=address, **keys).create_bucket(Bucket=BUCKET)
        yield {"AWS_ENDPOINT_URL": address} | {
            "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }  # fmt: skip
    finally:
        running.stop()

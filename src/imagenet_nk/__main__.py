"""`python -m imagenet_nk`."""

from imagenet_nk.app.main import run

if __name__ == "__main__":
    run()

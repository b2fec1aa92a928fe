"""The program in a clone: `python src/imagenet.py`. Once installed it is `imagenet-nk`."""

from imagenet_nk.app.main import run

if __name__ == "__main__":
    run()

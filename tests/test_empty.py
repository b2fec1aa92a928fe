"""A run that kept not one image: its report is written all the same, then the run ends with a line."""

from __future__ import annotations

from pathlib import Path

import program


def test_it_has_its_report_and_ends_with_a_line_that_helps(tmp_path: Path) -> None:
    folder = tmp_path / "root" / "n01440764"
    folder.mkdir(parents=True)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff not a picture")
    command = ["source=full", "source.root=root", "source@fallback=none", "nk=2"]
    command += ["classes.limit=2", "backbone=timm", "backbone.name=test_resnet", "backbone.pretrained=false"]
    ended = program.run(*command, cwd=tmp_path)
    said = ended.stdout + ended.stderr
    assert ended.returncode == 1, said
    assert "no image was kept, so there are no centers: see the reasons in dataset/imagenet/classes.csv" in said
    assert "Traceback" not in said
    (run,) = (tmp_path / "outputs").glob("*/*")
    assert "There are no images" in (run / "report" / "index.html").read_text(encoding="utf-8")

    ended = program.run("stages=[report]", f"report.run={run}", *command, cwd=tmp_path)
    text = (run / "report" / "index.html").read_text(encoding="utf-8")
    assert "The run failed" in text, ended.stderr
    assert "The same command goes on" not in text
    assert "source@fallback=archive" in text

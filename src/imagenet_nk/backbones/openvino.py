"""A backbone on OpenVINO's CPU plugin. No other module imports openvino."""

from __future__ import annotations

import threading
import warnings
from typing import Any

import numpy as np
import openvino as ov
import torch
from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
from torch import nn

from imagenet_nk.backbones.model import Backbone
from imagenet_nk.config.backbones import Dtype
from imagenet_nk.errors import BackboneError
from imagenet_nk.preprocessing.transforms import RGBArray
from imagenet_nk.preprocessing.types import Floats, Forward
from imagenet_nk.wording import one_line

_PRECISION = {Dtype.float32: "f32", Dtype.bfloat16: "bf16", Dtype.float16: "f16"}


def forward(model: nn.Module, backbone: Backbone, dtype: Dtype, batch: int, threads: int) -> Forward:
    """Forward for batches of exactly `batch` images, called by up to `threads` threads; each has its own request."""
    streams = max(threads, 1)
    options = {
        "INFERENCE_PRECISION_HINT": _PRECISION[dtype],  # the plugin's default is bf16 on CPUs that have it
        "NUM_STREAMS": str(streams),
        "INFERENCE_NUM_THREADS": str(streams if threads else torch.get_num_threads()),
        "ENABLE_CPU_PINNING": "NO",
    }
    compiled = ov.Core().compile_model(_convert(model, backbone, batch), "CPU", options)
    local = threading.local()

    def run(crops_BHW3: RGBArray) -> Floats:
        if not hasattr(local, "request"):
            local.request = compiled.create_infer_request()
        local.request.infer([np.ascontiguousarray(crops_BHW3)], share_inputs=True)
        return np.array(local.request.get_output_tensor(0).data, dtype=np.float32)

    return run


def _convert(model: nn.Module, backbone: Backbone, batch: int) -> Any:
    """The model as a graph. Not by openvino.convert_model, which sends usage statistics over the network."""
    example = torch.zeros(batch, *backbone.input_size, 3, dtype=torch.uint8)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the tracer is deprecated, and warns of shapes, which are fixed here
            # Checking the trace would take most of a calibration's time; embedding/parity.py checks the embeddings.
            decoder = TorchScriptPythonDecoder(
                model.eval(), example_input=(example,), trace_kwargs={"check_trace": False}
            )
        frontend = FrontEndManager().load_by_framework("pytorch")
        graph = frontend.convert(frontend.load(decoder))
    except Exception as error:  # OpenVINO has no narrower base class
        reason = one_line(error)[:120]
        raise BackboneError(f"OpenVINO cannot convert {backbone.name}: backbone.runtime=eager ({reason})") from error
    graph.reshape({graph.inputs[0]: [batch, *backbone.input_size, 3]})
    return graph

"""Serve an exported classifier over HTTP without PyTorch or i2md: pip install numpy onnxruntime

    i2md export MODEL model.onnx --layout kinect-v2
    python examples/serve_onnx.py model.onnx
    curl -d '{"joints": [[[0.1, 0.9, 2.5], ...], ...]}' http://127.0.0.1:8000/

The body of a request is one clip: `joints` is a list of frames of joints of coordinates (of persons too, if the model
takes several), with null where a joint has no value. The answer is the class, its probability, and whether it is none.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
about = json.loads(session.get_modelmeta().custom_metadata_map["i2md"])
outputs = [each.name for each in session.get_outputs()]


def predict(joints: list) -> dict:
    clip = np.array(joints, dtype=np.float32)  # null becomes NaN
    found = dict(zip(outputs, session.run(None, {"joints": clip[None]}), strict=True))
    label = int(found["label"][0])
    rejected = bool(found["rejected"][0]) or not found["seen"][0]
    return {
        "class": about["class_names"][label],
        "probability": float(found["probabilities"][0, label]),
        "none": rejected,
    }


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        try:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, answer = 200, predict(body["joints"])
        except Exception as error:
            status, answer = 400, {"error": str(error), "joints": about["joints"], "axes": about["axes"][1:]}
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 8000), Handler)
    print(f"http://{server.server_address[0]}:{server.server_address[1]}/", flush=True)
    server.serve_forever()

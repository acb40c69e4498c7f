import os

# Since 1.29 ONNX Runtime reports what it runs to its maker, unless this is set before it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

//! ONNX Runtime: find the library, choose the device, run sessions.

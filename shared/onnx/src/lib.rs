//! ONNX graphs of the encoders, as protobuf.

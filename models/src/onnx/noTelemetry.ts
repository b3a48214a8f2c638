/**
 * ONNX Runtime 1.30 sends usage events to its maker from Linux and macOS, and writes an identifier to
 * disk, unless this variable is set before its library is loaded (microsoft/onnxruntime pull request
 * 27379). A factory gateway talks to nobody whom the plant did not choose. Child processes inherit it.
 */
process.env.ORT_DISABLE_TELEMETRY ??= '1';

/**
 * ONNX Runtime 1.30 sends usage events to its maker from Linux and macOS, and writes an identifier to
 * disk, unless this variable is set before its library is loaded (microsoft/onnxruntime pull request
 * 27379). A gateway in a factory must talk only to the hosts that its settings name. Child processes inherit the variable.
 */
process.env.ORT_DISABLE_TELEMETRY ??= '1';

//! Streaming audio conversion and lock-free buffers for telephone calls.

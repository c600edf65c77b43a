//! Bytes of the text exposition format to samples, without an allocation per line.

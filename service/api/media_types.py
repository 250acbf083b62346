"""Media types of request and response bodies."""

JSON = "application/json"
OCTETS = "application/octet-stream"
BLOB = "application/vnd.unrolled.session"
MIDI = "audio/midi"

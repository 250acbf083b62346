"""Media types of bodies, both ways."""

JSON = "application/json"
OCTETS = "application/octet-stream"
BLOB = "application/vnd.unrolled.session"
MIDI = "audio/midi"

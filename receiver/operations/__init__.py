"""What a person runs beside the receiver, with the receiver's own parts."""

"""Operations with an implementation for each device, and plain references."""

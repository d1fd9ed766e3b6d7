"""Operations whose implementation depends on the device, each beside its plain reference."""

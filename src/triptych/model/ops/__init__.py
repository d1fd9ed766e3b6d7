"""Operations whose implementation depends on the device."""

"""A camera's own noise: measured from dark and flat frames (`calibrate`), kept (`profile`), used (`apply`)."""

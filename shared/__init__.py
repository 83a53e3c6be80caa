"""What every service needs and none owns: the log, repositories, delivery, the frame of a service."""

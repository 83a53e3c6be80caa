"""What every service needs and none owns; no word of the domain in here."""

"""The one door for files of others: pictures, masks, archives, arrays, within limits."""

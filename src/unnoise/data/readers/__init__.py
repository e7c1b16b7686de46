"""What a source holds: from files to arrays, or to lists of pictures with what lies beside them."""

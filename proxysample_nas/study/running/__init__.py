"""Run what the store lacks, beside other runners."""

"""Tests of ``tbtwist.observe``."""

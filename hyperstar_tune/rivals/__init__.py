"""What HyperSTAR is compared with: rankers with one base class and one registry row each, and searchers."""

"""What HyperSTAR is compared with: rankers and searchers of others, one base and one registry row each."""

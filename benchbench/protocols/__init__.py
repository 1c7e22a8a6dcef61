"""One loop per track: phases and scoring. A protocol knows the contract and no method."""

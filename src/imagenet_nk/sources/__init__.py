"""Where candidates come from: one contract, and one package a source.

Other packages import:

- contract: BlockingCall, Candidate, CostModel, FetchedImage, ReadSteps, Rejected, Source, SourceContext,
  SourceTraits, TRY_AGAIN, UNLISTED_KEY, candidates_in_order, rejection
- devkit
- none: NoSource
- official: DEVKIT, DownloadProgress, OfficialFile, TRAIN, VAL
"""

module leadline.test/programs/grpcurl

go 1.26.0

require github.com/fullstorydev/grpcurl v1.9.3

package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/dtm-labs/dtm/client/dtmgrpc/dtmgimp"
	"google.golang.org/grpc"
	reflection "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// The message of DTM's participant, as the server itself describes it: nothing is generated, and
// reflection is used as tools use it.
var (
	branchOnce  sync.Once
	branchType  protoreflect.MessageDescriptor
	errReflects error
)

const branchName = "giro.v1.DtmBranch"

// message is the payload of one side of a payment.
func (u *unit) message(ctx context.Context, l leg) (proto.Message, error) {
	branchOnce.Do(func() { branchType, errReflects = u.describe(ctx) })
	if errReflects != nil {
		return nil, errReflects
	}
	branch := dynamicpb.NewMessage(branchType)
	legs := branch.Mutable(branchType.Fields().ByName("legs")).List()
	side := legs.NewElement()
	fields := side.Message().Descriptor().Fields()
	for name, value := range map[protoreflect.Name]any{
		"debit_account_id":  fmt.Sprint(l.debit),
		"credit_account_id": fmt.Sprint(l.credit),
		"amount":            fmt.Sprint(l.amount),
		"ledger":            uint32(currency),
		"code":              uint32(3),
	} {
		side.Message().Set(fields.ByName(name), protoreflect.ValueOf(value))
	}
	legs.Append(side)
	return branch, nil
}

func (u *unit) describe(ctx context.Context) (protoreflect.MessageDescriptor, error) {
	connection := dtmgimp.MustGetGrpcConn(u.address, false)
	client := reflection.NewServerReflectionClient(connection)
	stream, err := client.ServerReflectionInfo(ctx, grpc.WaitForReady(true))
	if err != nil {
		return nil, err
	}
	defer func() { _ = stream.CloseSend() }()
	files := &descriptorpb.FileDescriptorSet{}
	known := map[string]bool{}
	ask := func(request *reflection.ServerReflectionRequest) error {
		if err := stream.Send(request); err != nil {
			return err
		}
		response, err := stream.Recv()
		if err != nil {
			return err
		}
		found := response.GetFileDescriptorResponse()
		if found == nil {
			return fmt.Errorf("reflection: %v", response.GetErrorResponse())
		}
		for _, text := range found.FileDescriptorProto {
			file := &descriptorpb.FileDescriptorProto{}
			if err := proto.Unmarshal(text, file); err != nil {
				return err
			}
			if !known[file.GetName()] {
				known[file.GetName()] = true
				files.File = append(files.File, file)
			}
		}
		return nil
	}
	symbol := &reflection.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: branchName}
	if err := ask(&reflection.ServerReflectionRequest{MessageRequest: symbol}); err != nil {
		return nil, err
	}
	// What a file imports may import more.
	for at := 0; at < len(files.File); at++ {
		for _, name := range files.File[at].Dependency {
			if known[name] {
				continue
			}
			file := &reflection.ServerReflectionRequest_FileByFilename{FileByFilename: name}
			if err := ask(&reflection.ServerReflectionRequest{MessageRequest: file}); err != nil {
				return nil, err
			}
		}
	}
	registry, err := protodesc.NewFiles(files)
	if err != nil {
		return nil, err
	}
	return find(registry)
}

func find(registry *protoregistry.Files) (protoreflect.MessageDescriptor, error) {
	found, err := registry.FindDescriptorByName(branchName)
	if err != nil {
		return nil, err
	}
	message, ok := found.(protoreflect.MessageDescriptor)
	if !ok {
		return nil, fmt.Errorf("%s is no message", branchName)
	}
	return message, nil
}

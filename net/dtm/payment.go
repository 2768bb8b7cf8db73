package main

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	"github.com/dtm-labs/dtm/client/dtmcli"
	"github.com/dtm-labs/dtm/client/dtmcli/dtmimp"
	"github.com/dtm-labs/dtm/client/dtmgrpc"
	"github.com/dtm-labs/dtm/client/dtmgrpc/dtmgimp"
	"github.com/go-resty/resty/v2"
	"google.golang.org/protobuf/types/known/emptypb"
)

// payment is a global transaction of two branches: in the payer's unit from the payer to clearing,
// in the payee's unit from clearing to the payee.
type payment struct {
	gid          string
	from         int // the payer's unit; the payee is in the other one
	payer, payee int
	amount       int64
	overGrpc     bool
	// What the caller wants before it submits; an error aborts.
	before func() error
	// Seconds until the coordinator gives up what was not submitted; 0 is its default.
	timeout int64
	// Never submitted and never aborted: the caller vanishes.
	vanishes bool
}

var errAborted = errors.New("the caller has thought better of it")

// leg is one side of it.
type leg struct {
	unit          *unit
	debit, credit int
	amount        int64
}

func (w *world) legs(p *payment) [2]leg {
	return [2]leg{
		{w.units[p.from], p.payer, clearing, p.amount},
		{w.units[1-p.from], clearing, p.payee, p.amount},
	}
}

// pay runs a payment as a service would, with DTM's client. The error is what the service sees;
// what became of the money, the audit asks the coordinator and the ledgers.
func (w *world) pay(p *payment) error {
	if p.overGrpc {
		return w.payOverGrpc(p)
	}
	return w.payOverHTTP(p)
}

func (p *payment) options(base *dtmimp.TransBase) {
	base.TimeoutToFail = p.timeout
	base.RetryInterval = 1
}

func (w *world) payOverHTTP(p *payment) error {
	call := func(tcc *dtmcli.Tcc) (*resty.Response, error) {
		for _, leg := range w.legs(p) {
			body := map[string]any{"legs": []any{map[string]any{
				"debit_account_id":  leg.debit,
				"credit_account_id": leg.credit,
				"amount":            fmt.Sprint(leg.amount),
				"ledger":            currency,
				"code":              3,
			}}}
			at := "http://" + leg.unit.address + "/dtm/"
			response, err := tcc.CallBranch(body, at+"try", at+"confirm", at+"cancel")
			if err != nil {
				return response, err
			}
		}
		return nil, p.ready()
	}
	if p.vanishes {
		tcc := &dtmcli.Tcc{TransBase: *dtmimp.NewTransBase(p.gid, "tcc", w.coordinator.http, "")}
		p.options(&tcc.TransBase)
		if err := dtmimp.TransCallDtm(&tcc.TransBase, "prepare"); err != nil {
			return err
		}
		_, err := call(tcc)
		return err
	}
	custom := func(tcc *dtmcli.Tcc) { p.options(&tcc.TransBase) }
	return dtmcli.TccGlobalTransaction2(w.coordinator.http, p.gid, custom, call)
}

func (w *world) payOverGrpc(p *payment) error {
	call := func(tcc *dtmgrpc.TccGrpc) error {
		for _, leg := range w.legs(p) {
			message, err := leg.unit.message(context.Background(), leg)
			if err != nil {
				return err
			}
			at := leg.unit.address + "/giro.v1.DtmParticipant/"
			err = tcc.CallBranch(message, at+"Try", at+"Confirm", at+"Cancel", &emptypb.Empty{})
			if err != nil {
				return err
			}
		}
		return p.ready()
	}
	if p.vanishes {
		tcc := &dtmgrpc.TccGrpc{TransBase: *dtmimp.NewTransBase(p.gid, "tcc", w.coordinator.grpc, "")}
		p.options(&tcc.TransBase)
		if err := dtmgimp.DtmGrpcCall(&tcc.TransBase, "Prepare"); err != nil {
			return err
		}
		return call(tcc)
	}
	custom := func(tcc *dtmgrpc.TccGrpc) { p.options(&tcc.TransBase) }
	return dtmgrpc.TccGlobalTransaction2(w.coordinator.grpc, p.gid, custom, call)
}

func (p *payment) ready() error {
	if p.before == nil {
		return nil
	}
	return p.before()
}

// moved is what it moves from its unit to the other one, seen from unit 0.
func (p *payment) moved() *big.Int {
	amount := big.NewInt(p.amount)
	if p.from == 1 {
		amount.Neg(amount)
	}
	return amount
}

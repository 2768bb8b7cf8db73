package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"os/exec"
	"time"
)

const (
	// Customers of a unit have the accounts 1 to customers.
	customers = 20
	// What a customer begins with.
	funds = 1000
	// Where a customer's funds come from.
	bank = 998
	// What the unit owes to the other one.
	clearing = 999
	currency = 978

	startLimit = 30 * time.Second
)

// unit is a ledger behind its gateway.
type unit struct {
	process process
	// host:port of HTTP and gRPC.
	address string
}

func newUnit(giro, dir string) (*unit, error) {
	format := exec.Command(giro, "format", "--cluster=0", "--replica=0", "--replica-count=1", "--development", dir)
	if said, err := format.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", giro, err, said)
	}
	binary, err := freePort()
	if err != nil {
		return nil, err
	}
	edge, err := freePort()
	if err != nil {
		return nil, err
	}
	u := &unit{address: fmt.Sprintf("127.0.0.1:%d", edge)}
	u.process = process{
		path: giro,
		log:  dir + ".log",
		arguments: []string{
			"start", fmt.Sprintf("--addresses=%d", binary), fmt.Sprintf("--http=%d", edge), dir,
		},
	}
	return u, u.start()
}

func (u *unit) start() error {
	if err := u.process.start(); err != nil {
		return err
	}
	return until(startLimit, func() error {
		_, err := u.get("/readyz", nil)
		return err
	})
}

// open makes the accounts and gives customers their funds.
func (u *unit) open() error {
	type object = map[string]any
	accounts := []object{}
	for _, id := range []int{bank, clearing} {
		accounts = append(accounts, object{"id": id, "ledger": currency, "code": 1})
	}
	transfers := []object{}
	for id := 1; id <= customers; id++ {
		accounts = append(accounts, object{
			"id": id, "ledger": currency, "code": 2,
			"flags": []string{"debits_must_not_exceed_credits"},
		})
		transfers = append(transfers, object{
			"id": id, "debit_account_id": bank, "credit_account_id": id,
			"amount": funds, "ledger": currency, "code": 1,
		})
	}
	if err := u.post("/accounts", accounts); err != nil {
		return err
	}
	return u.post("/transfers", transfers)
}

// post creates elements, each of which must be created.
func (u *unit) post(path string, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	response, err := http.Post("http://"+u.address+path, "application/json", bytes.NewReader(text))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var results []struct{ Status string }
	if err := json.NewDecoder(response.Body).Decode(&results); err != nil {
		return fmt.Errorf("%s: %s: %w", path, response.Status, err)
	}
	for at, result := range results {
		if result.Status != "created" {
			return fmt.Errorf("%s[%d]: %s", path, at, result.Status)
		}
	}
	return nil
}

// get reads JSON, and says whether there was something.
func (u *unit) get(path string, into any) (bool, error) {
	response, err := http.Get("http://" + u.address + path)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return false, err
	}
	if response.StatusCode == http.StatusNotFound {
		return false, nil
	}
	if response.StatusCode != http.StatusOK {
		return false, fmt.Errorf("%s: %s: %s", path, response.Status, body)
	}
	if into == nil {
		return true, nil
	}
	return true, json.Unmarshal(body, into)
}

// state is what became of a branch; empty when the ledger never heard of it.
func (u *unit) state(gid, branch string) (string, error) {
	var info struct{ State string }
	path := "/branches/" + url.PathEscape(gid) + "/" + url.PathEscape(branch)
	_, err := u.get(path, &info)
	return info.State, err
}

// open branches of the unit.
func (u *unit) openBranches() (int, error) {
	var page struct{ Branches []any }
	_, err := u.get("/branches?limit=1000", &page)
	return len(page.Branches), err
}

// balance is credits less debits of an account that has nothing pending.
func (u *unit) balance(id int) (*big.Int, error) {
	var account struct {
		DebitsPending  string `json:"debits_pending"`
		CreditsPending string `json:"credits_pending"`
		DebitsPosted   string `json:"debits_posted"`
		CreditsPosted  string `json:"credits_posted"`
	}
	if _, err := u.get(fmt.Sprintf("/accounts/%d", id), &account); err != nil {
		return nil, err
	}
	if account.DebitsPending != "0" || account.CreditsPending != "0" {
		return nil, fmt.Errorf("account %d of %s has something pending", id, u.address)
	}
	debits, ok1 := new(big.Int).SetString(account.DebitsPosted, 10)
	credits, ok2 := new(big.Int).SetString(account.CreditsPosted, 10)
	if !ok1 || !ok2 {
		return nil, fmt.Errorf("account %d of %s: amounts are no digits", id, u.address)
	}
	return credits.Sub(credits, debits), nil
}

-- The ledger that one would write: two tables, and functions that lock rows.
-- Statuses: 0 created, 1 both accounts are one, 2 the id is taken, 3 an account is not there.

create table accounts (
    id uuid primary key,
    ledger integer not null,
    code integer not null,
    debits_pending bigint not null default 0,
    debits_posted bigint not null default 0,
    credits_pending bigint not null default 0,
    credits_posted bigint not null default 0
);

create table transfers (
    id uuid primary key,
    debit uuid not null,
    credit uuid not null,
    amount bigint not null,
    pending boolean not null,
    ledger integer not null,
    code integer not null,
    at timestamptz not null default now()
);

-- One transfer.
create function create_transfer(
    new uuid, debited uuid, credited uuid, moved bigint, is_pending boolean, in_ledger integer,
    of_code integer
) returns integer language plpgsql as $$
declare locked integer;
begin
    if debited = credited then return 1; end if;
    -- In the order of ids, so that no two callers wait for each other.
    perform 1 from accounts where id in (debited, credited) order by id for update;
    get diagnostics locked = row_count;
    if locked < 2 then return 3; end if;
    insert into transfers values (new, debited, credited, moved, is_pending, in_ledger, of_code)
        on conflict do nothing;
    if not found then return 2; end if;
    if is_pending then
        update accounts set debits_pending = debits_pending + moved where id = debited;
        update accounts set credits_pending = credits_pending + moved where id = credited;
    else
        update accounts set debits_posted = debits_posted + moved where id = debited;
        update accounts set credits_posted = credits_posted + moved where id = credited;
    end if;
    return 0;
end $$;

-- Many at once: each account is locked and written once.
create function create_transfers(
    ids uuid[], debits uuid[], credits uuid[], amounts bigint[], pendings boolean[],
    ledgers integer[], codes integer[]
) returns integer[] language plpgsql as $$
declare statuses integer[];
begin
    perform 1 from accounts where id in (select unnest(debits) union select unnest(credits))
        order by id for update of accounts;
    with asked as (
        select * from unnest(ids, debits, credits, amounts, pendings, ledgers, codes)
            with ordinality as row(id, debit, credit, amount, pending, ledger, code, place)
    ), fit as (
        select asked.* from asked
            join accounts payer on payer.id = debit join accounts payee on payee.id = credit
            where debit <> credit
    ), made as (
        insert into transfers
            select id, debit, credit, amount, pending, ledger, code from fit
            on conflict do nothing returning id, debit, credit, amount, pending
    ), legs as (
        select debit as account, amount * pending::integer as debit_pending,
            amount * (not pending)::integer as debit_posted, 0 as credit_pending,
            0 as credit_posted from made
        union all
        select credit, 0, 0, amount * pending::integer, amount * (not pending)::integer from made
    ), moved as (
        select account, sum(debit_pending)::bigint as debit_pending,
            sum(debit_posted)::bigint as debit_posted,
            sum(credit_pending)::bigint as credit_pending,
            sum(credit_posted)::bigint as credit_posted from legs group by account
    ), booked as (
        update accounts set debits_pending = debits_pending + moved.debit_pending,
            debits_posted = debits_posted + moved.debit_posted,
            credits_pending = credits_pending + moved.credit_pending,
            credits_posted = credits_posted + moved.credit_posted
            from moved where id = moved.account
    )
    select array_agg(
        case when asked.debit = asked.credit then 1 when made.id is not null then 0
            when fit.id is not null then 2 else 3 end order by asked.place)
        into statuses from asked left join made on made.id = asked.id
            left join fit on fit.place = asked.place;
    return statuses;
end $$;

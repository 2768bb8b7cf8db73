-- Branches of TCC transactions, as one would write them beside the balances: a row for each with
-- its one leg, settled under its lock. States: 1 tried, 2 confirmed, 3 cancelled, 4 cancelled
-- before it was tried. Answers: 1 done, 2 done before, 3 an account is not there, 5 cancelled,
-- 6 cancelled before its try, 7 confirmed, 9 never tried.

create table branches (
    gid text not null,
    branch text not null,
    state integer not null,
    debit uuid,
    credit uuid,
    amount bigint,
    primary key (gid, branch)
);

create function answer_to_try(state integer) returns integer language sql immutable as $$
    select case state when 1 then 2 when 2 then 2 when 3 then 5 when 4 then 6 end
$$;

create function answer_to_confirm(state integer) returns integer language sql immutable as $$
    select case state when 2 then 2 when 3 then 5 when 4 then 6 else 9 end
$$;

create function answer_to_cancel(state integer) returns integer language sql immutable as $$
    select case state when 2 then 7 else 2 end
$$;

-- One branch.
create function try_branch(
    in_gid text, in_branch text, debited uuid, credited uuid, moved bigint
) returns integer language plpgsql as $$
declare locked integer; found_state integer;
begin
    -- In the order of ids, so that no two callers wait for each other.
    perform 1 from accounts where id in (debited, credited) order by id for update;
    get diagnostics locked = row_count;
    if locked < 2 then return 3; end if;
    insert into branches values (in_gid, in_branch, 1, debited, credited, moved)
        on conflict do nothing;
    if not found then
        select state into found_state from branches where gid = in_gid and branch = in_branch;
        return answer_to_try(found_state);
    end if;
    update accounts set debits_pending = debits_pending + moved where id = debited;
    update accounts set credits_pending = credits_pending + moved where id = credited;
    return 1;
end $$;

create function confirm_branch(in_gid text, in_branch text)
returns integer language plpgsql as $$
declare this branches;
begin
    select * into this from branches where gid = in_gid and branch = in_branch for update;
    if this.state is distinct from 1 then return answer_to_confirm(this.state); end if;
    perform 1 from accounts where id in (this.debit, this.credit) order by id for update;
    update branches set state = 2 where gid = in_gid and branch = in_branch;
    update accounts set debits_pending = debits_pending - this.amount,
        debits_posted = debits_posted + this.amount where id = this.debit;
    update accounts set credits_pending = credits_pending - this.amount,
        credits_posted = credits_posted + this.amount where id = this.credit;
    return 1;
end $$;

create function cancel_branch(in_gid text, in_branch text)
returns integer language plpgsql as $$
declare this branches;
begin
    insert into branches values (in_gid, in_branch, 4) on conflict do nothing;
    if found then return 1; end if;
    select * into this from branches where gid = in_gid and branch = in_branch for update;
    if this.state <> 1 then return answer_to_cancel(this.state); end if;
    perform 1 from accounts where id in (this.debit, this.credit) order by id for update;
    update branches set state = 3 where gid = in_gid and branch = in_branch;
    update accounts set debits_pending = debits_pending - this.amount where id = this.debit;
    update accounts set credits_pending = credits_pending - this.amount where id = this.credit;
    return 1;
end $$;

-- Many at once: each account is locked and written once.
create function try_branches(
    gids text[], names text[], debits uuid[], credits uuid[], amounts bigint[]
) returns integer[] language plpgsql as $$
declare answers integer[];
begin
    perform 1 from accounts where id in (select unnest(debits) union select unnest(credits))
        order by id for update of accounts;
    with asked as (
        select * from unnest(gids, names, debits, credits, amounts)
            with ordinality as row(gid, branch, debit, credit, amount, place)
    ), fit as (
        select asked.* from asked
            join accounts payer on payer.id = debit join accounts payee on payee.id = credit
    ), made as (
        insert into branches select gid, branch, 1, debit, credit, amount from fit
            on conflict do nothing returning gid, branch, debit, credit, amount
    ), legs as (
        select debit as account, amount as debited, 0 as credited from made
        union all
        select credit, 0, amount from made
    ), moved as (
        select account, sum(debited)::bigint as debited, sum(credited)::bigint as credited
            from legs group by account
    ), booked as (
        update accounts set debits_pending = debits_pending + moved.debited,
            credits_pending = credits_pending + moved.credited
            from moved where id = moved.account
    )
    select array_agg(
        case when made.gid is not null then 1
            when before.gid is not null then answer_to_try(before.state)
            else 3 end order by asked.place)
        into answers from asked left join made using (gid, branch)
            left join branches before using (gid, branch);
    return answers;
end $$;

create function confirm_branches(gids text[], names text[])
returns integer[] language plpgsql as $$
declare answers integer[];
begin
    perform 1 from accounts where id in (
        select unnest(array[debit, credit]) from unnest(gids, names) as asked(gid, branch)
            join branches using (gid, branch)
    ) order by id for update of accounts;
    with asked as (
        select * from unnest(gids, names) with ordinality as row(gid, branch, place)
    ), done as (
        update branches set state = 2 from asked
            where branches.gid = asked.gid and branches.branch = asked.branch and state = 1
            returning branches.gid, branches.branch, debit, credit, amount
    ), legs as (
        select debit as account, amount as debited, 0 as credited from done
        union all
        select credit, 0, amount from done
    ), moved as (
        select account, sum(debited)::bigint as debited, sum(credited)::bigint as credited
            from legs group by account
    ), booked as (
        update accounts set debits_pending = debits_pending - moved.debited,
            debits_posted = debits_posted + moved.debited,
            credits_pending = credits_pending - moved.credited,
            credits_posted = credits_posted + moved.credited
            from moved where id = moved.account
    )
    select array_agg(
        case when done.gid is not null then 1 else answer_to_confirm(before.state) end
            order by asked.place)
        into answers from asked left join done using (gid, branch)
            left join branches before using (gid, branch);
    return answers;
end $$;

create function cancel_branches(gids text[], names text[])
returns integer[] language plpgsql as $$
declare answers integer[];
begin
    perform 1 from accounts where id in (
        select unnest(array[debit, credit]) from unnest(gids, names) as asked(gid, branch)
            join branches using (gid, branch)
    ) order by id for update of accounts;
    with asked as (
        select * from unnest(gids, names) with ordinality as row(gid, branch, place)
    ), empty as (
        insert into branches select gid, branch, 4 from asked
            on conflict do nothing returning gid, branch
    ), done as (
        update branches set state = 3 from asked
            where branches.gid = asked.gid and branches.branch = asked.branch and state = 1
            returning branches.gid, branches.branch, debit, credit, amount
    ), legs as (
        select debit as account, amount as debited, 0 as credited from done
        union all
        select credit, 0, amount from done
    ), moved as (
        select account, sum(debited)::bigint as debited, sum(credited)::bigint as credited
            from legs group by account
    ), booked as (
        update accounts set debits_pending = debits_pending - moved.debited,
            credits_pending = credits_pending - moved.credited
            from moved where id = moved.account
    )
    select array_agg(
        case when empty.gid is not null or done.gid is not null then 1
            else answer_to_cancel(before.state) end order by asked.place)
        into answers from asked left join empty using (gid, branch)
            left join done using (gid, branch) left join branches before using (gid, branch);
    return answers;
end $$;

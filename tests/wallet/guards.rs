//! What is refused before anything is signed, to the wei.

use alloy_primitives::Address;
use chain::BlockHash;
use wallet::{
    amount::{WEI_PER_GWEI, WEI_PER_LGN},
    guard::{FEE_ALWAYS, FEE_MAX, GuardError, Network, check_fee, check_funds, check_last},
    journal::Payment,
    sign::Transfer,
};

fn transfer(value: u128, fee: u128) -> Transfer {
    Transfer {
        chain_id: 1,
        nonce: 0,
        to: Address::ZERO,
        value,
        gas_limit: 1,
        max_fee: fee,
        tip: 0,
        input: Vec::new(),
    }
}

#[test]
fn a_fee_has_a_limit_that_follows_the_amount() {
    for (value, limit) in [
        (0, FEE_MAX),
        (1, FEE_ALWAYS),
        (10 * FEE_ALWAYS, FEE_ALWAYS),
        (20 * FEE_ALWAYS + 9, 2 * FEE_ALWAYS),
        (WEI_PER_LGN, FEE_MAX),
        (u128::MAX, FEE_MAX),
    ] {
        assert_eq!(check_fee(&transfer(value, limit)), Ok(()), "{value}");
        let error = check_fee(&transfer(value, limit + 1)).unwrap_err();
        let want = GuardError::HighFee {
            fee: limit + 1,
            limit,
        };
        assert_eq!(error, want, "{value}");
        assert_eq!(error.exit_code(), 2);
    }
    let mut huge = transfer(1, u128::MAX);
    huge.gas_limit = u64::MAX;
    assert!(check_fee(&huge).is_err());
}

#[test]
fn what_is_missing_is_said_to_the_wei() {
    let balance = 32 * WEI_PER_LGN / 10;
    let payment = transfer(25 * WEI_PER_LGN, 21_000 * WEI_PER_GWEI);
    let error = check_funds(balance, 0, &payment).unwrap_err();
    assert_eq!(
        error.to_string(),
        "balance is 3.2 LGN, needed 25.000021 (25 + fee 0.000021)"
    );
    assert_eq!(error.exit_code(), 10);
    let needed = payment.value + payment.fee_max();
    assert_eq!(check_funds(needed, 0, &payment), Ok(()));
    assert!(check_funds(needed - 1, 0, &payment).is_err());
    assert_eq!(check_funds(needed + 5, 5, &payment), Ok(()));
    let error = check_funds(needed + 5, 6, &payment)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("pending transactions can take 0.000000000000000006"),
        "{error}"
    );
    let error = check_funds(u128::MAX, 0, &transfer(u128::MAX, 1))
        .unwrap_err()
        .to_string();
    assert!(error.contains("needed more than there can be"), "{error}");
}

#[test]
fn another_network_than_last_time_is_refused_unless_both_are_for_play() {
    let network = |dev, byte| Network {
        name: "n".to_string(),
        chain_id: 7,
        genesis: BlockHash([byte; 32]),
        dev,
    };
    let payment = |dev, byte| Payment {
        time: 0,
        network: "n".to_string(),
        dev,
        chain_id: 7,
        genesis: BlockHash([byte; 32]).to_string(),
        nonce: 0,
        to: String::new(),
        value: String::new(),
        hash: String::new(),
        raw: String::new(),
    };
    assert_eq!(check_last(None, &network(false, 1)), Ok(()));
    assert_eq!(
        check_last(Some(&payment(false, 1)), &network(false, 1)),
        Ok(())
    );
    assert_eq!(
        check_last(Some(&payment(true, 1)), &network(true, 2)),
        Ok(())
    );
    for (was, is) in [(false, true), (true, false), (false, false)] {
        let error = check_last(Some(&payment(was, 1)), &network(is, 2)).unwrap_err();
        assert_eq!(error.exit_code(), 7);
        assert!(error.to_string().contains("--other-network"), "{error}");
    }
}

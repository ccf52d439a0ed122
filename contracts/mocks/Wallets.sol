// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { ECDSA } from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

bytes4 constant YES = 0x1626ba7e;

/// An EIP-1271 wallet that accepts what its owner signed.
contract HonestWallet {
    address private immutable _owner;

    constructor(address owner) {
        _owner = owner;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        return ECDSA.recover(digest, signature) == _owner ? YES : bytes4(0xffffffff);
    }
}

/// Burns whatever it is given.
contract GasBombWallet {
    function isValidSignature(bytes32, bytes calldata) external pure returns (bytes4) {
        while (true) { }
        return YES;
    }
}

/// Says yes, followed by as much memory as its gas buys.
contract ReturnBombWallet {
    function isValidSignature(bytes32, bytes calldata) external pure {
        assembly {
            mstore(0, 0x1626ba7e00000000000000000000000000000000000000000000000000000000)
            return(0, 150000)
        }
    }
}

/// Reverts with as much memory as its gas buys.
contract RevertBombWallet {
    function isValidSignature(bytes32, bytes calldata) external pure {
        assembly {
            revert(0, 150000)
        }
    }
}

/// Says yes in too few bytes.
contract ShortAnswerWallet {
    function isValidSignature(bytes32, bytes calldata) external pure {
        assembly {
            mstore(0, 0x1626ba7e00000000000000000000000000000000000000000000000000000000)
            return(0, 31)
        }
    }
}

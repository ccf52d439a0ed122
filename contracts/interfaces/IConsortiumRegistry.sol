// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Who the organisations are, which keys speak for them, and what they may do
/// @notice Acts carry an organisation's signature; who sends the transaction proves nothing. Functions marked
/// "governed" answer to the governance contract alone. Nobody else has any right here, the deployer included.
/// Every event carries the contract's `sequence`, from 1, without gaps.
interface IConsortiumRegistry {
    /// A key that governance or the genesis gives to an organisation; it is valid from now or `notBefore`, if later.
    struct NewKey {
        address key;
        uint8 purpose;
        uint40 notBefore;
        uint40 notAfter;
    }

    struct NewOrganisation {
        bytes32 id;
        uint32 roles;
        uint32 interestGroup;
        bool vote;
        NewKey[] keys;
    }

    /// Slot 0: roles 0-31, interestGroup 32-63, status 64-71, vote 72-79, nonce 80-143, suspendedUntil 144-183,
    /// suspendableFrom 184-223. Slot 1: id. Slot 2: hpkeKey. Slot 3: hpkeNotBefore 0-39, hpkeNotAfter 40-79.
    struct Organisation {
        /// Bits, docs/spec/chain-state.md section 1.
        uint32 roles;
        /// Organisations with a common interest; never 0.
        uint32 interestGroup;
        /// 0 unknown, 1 active, 2 removed for good.
        uint8 status;
        bool vote;
        /// The number of acts so far; the next act names it.
        uint64 nonce;
        /// Write rights rest while time < suspendedUntil; the largest value means until governance lifts it.
        uint40 suspendedUntil;
        /// A regulator may not suspend again before.
        uint40 suspendableFrom;
        bytes32 id;
        /// X25519 public key to which data for this organisation is sealed; 0 while none.
        bytes32 hpkeKey;
        uint40 hpkeNotBefore;
        uint40 hpkeNotAfter;
    }

    /// The votes now, and the interest group that holds most of them (the lowest such, if several do).
    struct VoteShares {
        uint32 votes;
        uint32 courts;
        uint32 regulators;
        uint32 largestGroup;
        uint32 largestGroupVotes;
    }

    struct AnnounceKey {
        uint32 organisation;
        address key;
        uint8 purpose;
        uint40 notBefore;
        uint40 notAfter;
        uint64 nonce;
        uint40 validUntil;
    }

    struct AcceptKey {
        uint32 organisation;
        address key;
        uint40 validUntil;
    }

    struct CancelKey {
        uint32 organisation;
        address key;
        uint64 nonce;
        uint40 validUntil;
    }

    struct RevokeKey {
        uint32 organisation;
        address key;
        uint64 nonce;
        uint40 validUntil;
    }

    struct SetHpkeKey {
        uint32 organisation;
        bytes32 publicKey;
        uint40 notBefore;
        uint40 notAfter;
        uint64 nonce;
        uint40 validUntil;
    }

    struct Suspend {
        uint32 organisation;
        uint32 target;
        bytes32 reason;
        uint64 nonce;
        uint40 validUntil;
    }

    event OrganisationAdded(
        uint64 sequence,
        uint32 indexed organisation,
        bytes32 indexed id,
        uint32 roles,
        uint32 interestGroup,
        bool vote
    );
    event OrganisationRemoved(uint64 sequence, uint32 indexed organisation, bool oldVote);
    event RolesSet(uint64 sequence, uint32 indexed organisation, uint32 oldRoles, uint32 newRoles);
    event VoteSet(uint64 sequence, uint32 indexed organisation, bool oldVote, bool newVote);
    event InterestGroupSet(uint64 sequence, uint32 indexed organisation, uint32 oldGroup, uint32 newGroup);
    event KeyAssigned(
        uint64 sequence,
        uint32 indexed organisation,
        address indexed key,
        uint8 purpose,
        uint40 notBefore,
        uint40 notAfter
    );
    event KeyAnnounced(
        uint64 sequence,
        uint32 indexed organisation,
        address indexed key,
        uint8 purpose,
        uint40 notBefore,
        uint40 notAfter,
        uint40 acceptableFrom
    );
    event KeyAccepted(uint64 sequence, uint32 indexed organisation, address indexed key, uint40 notBefore);
    event KeyCancelled(uint64 sequence, uint32 indexed organisation, address indexed key);
    event KeyRevoked(uint64 sequence, uint32 indexed organisation, address indexed key, uint40 revokedAt);
    event HpkeKeySet(
        uint64 sequence,
        uint32 indexed organisation,
        bytes32 oldKey,
        bytes32 newKey,
        uint40 notBefore,
        uint40 notAfter
    );
    event Suspended(
        uint64 sequence, uint32 indexed target, uint32 indexed regulator, bytes32 reason, uint40 until
    );
    event SuspensionConfirmed(uint64 sequence, uint32 indexed target, uint40 oldUntil);
    event SuspensionLifted(uint64 sequence, uint32 indexed target, uint40 oldUntil);

    error RegistryNotGovernance(address caller);
    error RegistryGovernanceZero();
    error RegistryRotationDelayInvalid(uint40 delay);
    error RegistryOrganisationUnknown(uint32 organisation);
    error RegistryOrganisationRemoved(uint32 organisation);
    error RegistryOrganisationSuspended(uint32 organisation, uint40 until);
    error RegistryIdInvalid(bytes32 id, uint32 heldBy);
    error RegistryRolesInvalid(uint32 roles);
    error RegistryInterestGroupInvalid(uint32 interestGroup);
    error RegistryUnchanged(uint32 organisation);
    error RegistryNoActKey(bytes32 id);
    error RegistryNoCourt();
    error RegistryNoRegulator();
    error RegistryInterestGroupTooLarge(uint32 interestGroup, uint32 groupVotes, uint32 votes);
    error RegistryKeyInvalid(address key, uint32 heldBy);
    error RegistryKeyUnknown(address key);
    error RegistryKeyOrganisation(address key, uint32 organisation, uint32 heldBy);
    error RegistryKeyPurpose(address key, uint8 needed, uint8 actual);
    error RegistryKeyState(address key, uint8 needed, uint8 actual);
    error RegistryKeyNotYetValid(address key, uint40 notBefore, uint40 time);
    error RegistryKeyExpired(address key, uint40 notAfter, uint40 time);
    error RegistryKeyRevoked(address key, uint40 revokedAt, uint40 time);
    error RegistryKeyTooEarly(address key, uint40 acceptableFrom, uint40 time);
    error RegistryKeyCannotRevokeItself(address key);
    error RegistrySignerMismatch(address signer, address expected);
    error RegistryPurposeInvalid(uint8 purpose);
    error RegistryValidityInvalid(uint40 notBefore, uint40 notAfter, uint40 time);
    error RegistryNonceMismatch(uint32 organisation, uint64 expected, uint64 given);
    error RegistryHpkeKeyZero(uint32 organisation);
    error RegistryNotRegulator(uint32 organisation);
    error RegistrySuspensionOfItself(uint32 organisation);
    error RegistrySuspensionTooEarly(uint32 target, uint40 suspendableFrom, uint40 time);
    error RegistryNotSuspended(uint32 target);

    /// @notice Governed. Adds an organisation with its first keys, an act key among them.
    /// @return index for ever
    function addOrganisation(NewOrganisation calldata entry) external returns (uint32 index);

    /// @notice Governed. Ends an organisation's rights and vote for good; its index and id stay taken.
    function removeOrganisation(uint32 index) external;

    /// @notice Governed. Court and regulator exclude each other.
    function setRoles(uint32 index, uint32 roles) external;

    /// @notice Governed.
    function setVote(uint32 index, bool vote) external;

    /// @notice Governed.
    function setInterestGroup(uint32 index, uint32 interestGroup) external;

    /// @notice Governed. Recovery: gives a key to an organisation that lost its own.
    function assignKey(uint32 index, NewKey calldata entry) external;

    /// @notice Governed. Recovery: revokes an active key, or cancels an announced one.
    function retireKey(address key) external;

    /// @notice Governed. A regulator's suspension, running or run out, holds until governance lifts it.
    function confirmSuspension(uint32 target) external;

    /// @notice Governed. Ends a suspension; a regulator may suspend again on new grounds.
    function liftSuspension(uint32 target) external;

    /// @notice First step of a rotation, signed by an act key. The address must never have held a slot.
    function announceKey(AnnounceKey calldata request, bytes calldata signature) external;

    /// @notice Second step, signed by the new key itself once the rotation delay is over. The key is valid from the
    /// announced `notBefore` or from now, whichever is later.
    function acceptKey(AcceptKey calldata request, bytes calldata signature) external;

    /// @notice Ends a rotation before it is accepted. Works while suspended.
    function cancelKey(CancelKey calldata request, bytes calldata signature) external;

    /// @notice Revokes an active key from now on; what it signed before stays valid. An act key cannot revoke
    /// itself, so an organisation cannot lose its last one this way. Works while suspended.
    function revokeKey(RevokeKey calldata request, bytes calldata signature) external;

    /// @notice Replaces the key to which data is sealed for the organisation.
    function setHpkeKey(SetHpkeKey calldata request, bytes calldata signature) external;

    /// @notice A regulator stops an organisation's write rights for 30 days, then not again for 30 days, unless
    /// governance spoke in between. Votes and recorded facts stay as they are.
    function suspend(Suspend calldata request, bytes calldata signature) external;

    /// @notice Reverts unless `key` is valid now for organisation `index` and `purpose`, and the organisation is active.
    function requireSigner(address key, uint32 index, uint8 purpose) external view;

    /// @notice As `requireSigner`, and the organisation is not suspended.
    function requireWriter(address key, uint32 index, uint8 purpose) external view;

    /// @notice Reverts unless a court and a regulator hold votes and every interest group has less than a third.
    function requireSoundVotes() external view returns (VoteShares memory shares);

    /// @notice The packed slot of a key; 0 while unknown.
    function keySlot(address key) external view returns (uint256);

    /// @notice When an announced key may be accepted; 0 if it never was announced.
    function acceptableFrom(address key) external view returns (uint40);

    function organisation(uint32 index) external view returns (Organisation memory);

    /// @notice Active and not suspended now.
    function isWriter(uint32 index) external view returns (bool);

    function nonceOf(uint32 index) external view returns (uint64);

    /// @notice 0 if unknown.
    function indexOf(bytes32 id) external view returns (uint32);

    /// @notice Organisations ever added; indexes run from 1 to this.
    function organisationCount() external view returns (uint32);

    function voteShares() external view returns (VoteShares memory);

    function groupVotes(uint32 interestGroup) external view returns (uint32);

    /// @notice The sequence of the last event.
    function sequence() external view returns (uint64);

    function governance() external view returns (address);

    /// @notice Seconds between announcing and accepting a key.
    function rotationDelay() external view returns (uint40);
}
